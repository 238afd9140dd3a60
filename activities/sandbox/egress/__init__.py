"""The only way out of a box: a proxy that knows which box speaks and lets it reach public addresses, or less."""

from activities.sandbox.egress.blocked import Blocked
from activities.sandbox.egress.bounds import Bounds
from activities.sandbox.egress.proxy import Egress
from activities.sandbox.egress.rules import EgressRules, Mode

__all__ = ["Blocked", "Bounds", "Egress", "EgressRules", "Mode"]
