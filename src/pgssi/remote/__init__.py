"""Remote maintenance: who may work on which equipment, when, and what opens for it."""
