"""Language models: trained, tuned, aligned, made small."""
