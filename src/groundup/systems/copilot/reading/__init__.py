"""How bytes become records: unpacked, split, a format recognised, times and levels read, exceptions joined."""
