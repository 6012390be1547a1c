"""Files from a bank's SFTP: which are taken, from whom, and by whom."""
