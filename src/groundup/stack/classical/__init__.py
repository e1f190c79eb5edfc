"""Classical machine learning, with scikit-learn conventions."""
