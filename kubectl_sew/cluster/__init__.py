"""The plugin's access to a cluster: webhooks, what they refer to, and the running agent.

Everything goes through `kubectl_sew.kubectl`. No command line, no output, no judgement belongs here.
"""
