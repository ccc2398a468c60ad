"""`guichet simulate`: a sale before it happens, from what each step of the real path costs."""
