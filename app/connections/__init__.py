"""The connections of the server: their bounds, their end, and the requests that never reach the application."""
