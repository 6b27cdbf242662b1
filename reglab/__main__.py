from reglab.cli.app import main

main()
