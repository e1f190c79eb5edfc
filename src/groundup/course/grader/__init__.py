"""The grader: one verdict from one fresh process."""
