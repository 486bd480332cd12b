"""From order intents to sanitized orders: rules, sizing, reservations."""
