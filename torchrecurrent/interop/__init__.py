"""Support for torch's tools and other packages that need more of a cell than its results."""
