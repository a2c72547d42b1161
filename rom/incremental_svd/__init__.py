"""A truncated singular value decomposition that follows a changing matrix."""
