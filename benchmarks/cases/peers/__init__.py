"""The other peers, each as its own documentation uses it, for the rows where it does the same job."""
