"""What a person gets to see: answers with citations, an overview, a notebook to explore."""
