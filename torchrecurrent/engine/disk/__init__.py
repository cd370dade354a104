"""What all machines keep on the disk: where it is, and the locks between processes."""
