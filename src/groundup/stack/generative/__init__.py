"""Language models: from text to tokens, from tokens to a trained model, and the model made small."""
