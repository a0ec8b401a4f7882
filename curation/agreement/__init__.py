"""How far people and judges agree: computed by a worker, stored, read by pages."""
