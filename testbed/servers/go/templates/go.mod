module kubectl-sew/tests/servers/templates

go 1.25
