"""What torch's tools and other packages ask of a cell beside its results."""
