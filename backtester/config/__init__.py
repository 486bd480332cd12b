"""The config models, TOML loading and layering, and the rules of the instruments that ship."""
