"""Finding what answers a question: nearest vectors, documents cut into passages, ranking, answers with citations."""
