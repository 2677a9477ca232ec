"""OpenAPI and Swagger documents: what clients can read about the routes."""
