import typer
app = typer.Typer()
@app.command()
def x(): pass
def demo(): pass
