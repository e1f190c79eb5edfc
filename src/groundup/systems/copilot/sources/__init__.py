"""Where log lines come from: files, pipes and a Kubernetes cluster, each line once."""
