"""What the executable of the krew archive runs."""

from kubectl_sew.cli.main import main

main()
