--- The version of Orrery.
return "0.1.0"
