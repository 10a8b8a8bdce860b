"""What a person fills in to start a flow."""
