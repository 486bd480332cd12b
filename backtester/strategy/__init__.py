"""What strategies are made of: base class, host, registry, and the strategies that ship."""
