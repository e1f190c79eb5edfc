"""What is found in records: templates, signs of failure, anomalies, the lines that hold the root cause."""
