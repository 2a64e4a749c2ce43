"""The page to talk on, at `/`: static ES modules in `page/`, and the secrets that it calls with (`routes.py`)."""
