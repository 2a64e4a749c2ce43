"""A restaurant's receptionist: the agent of the shipped config.yaml."""
