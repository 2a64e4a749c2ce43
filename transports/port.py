"""`Transport`: what carries a session, as the core sees it.

The Protocol itself stands in `voice.transport`, because the core awaits and calls it and `voice` imports no other
package of ours: a port belongs to the side that needs it, its adapters to the side that provides them (this package).
It is named here again so that an adapter's module reads from its own package alone.
"""

from voice.transport import Flushed, Transport

__all__ = ["Flushed", "Transport"]
