"""The service that answers with product type codes, and the bundle format it reads."""
