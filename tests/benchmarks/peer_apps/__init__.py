"""The same encoder behind other servers, each configured as its documentation recommends."""
