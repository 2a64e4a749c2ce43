"""The aiohttp application: routes, authorization, health, metrics."""
