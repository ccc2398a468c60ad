"""`/openapi.json`: the contract, generated from the routes and their schemas."""
