"""Runs as Ray Jobs: packed here, run by a driver on the cluster's head, followed from anywhere."""
