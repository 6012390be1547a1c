"""Work as rows: jobs and the bell that wakes their workers."""
