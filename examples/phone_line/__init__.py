"""A phone line: a hairdresser's receptionist who takes bookings."""
