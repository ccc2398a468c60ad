"""How fast an installation of some size can be: a model, and what it says of sizes that nobody has at hand."""
