"""Files at URLs: brought to this machine before a job, and delivered from it afterwards."""
