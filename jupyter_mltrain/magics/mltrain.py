"""The magics: words of the line in, an object that shows itself out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from jupyter_mltrain.commands import template, verbs
from jupyter_mltrain.commands.context import Context, notebook_name
from jupyter_mltrain.commands.grammar import HelpRequested, split_script_arguments, tokens_of
from jupyter_mltrain.commands.submit import Source, Started, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.interactiveshell import InteractiveShell


@magics_class
class MltrainMagics(Magics):
    """Holds nothing: runs are the service's, outputs the watcher's."""

    shell: InteractiveShell  # pyright: ignore[reportIncompatibleVariableOverride] - a registered magic has one

    # IPython would otherwise `eval` what stands in braces, JSON included.
    @no_var_expand
    @line_cell_magic
    def mltrain(self, line: str, cell: str | None = None) -> Any:
        """`%%mltrain [options] [-- script arguments]` runs the cell as a script; `%mltrain VERB …` does the rest."""
        try:
            return self._verb(line) if cell is None else self._cell(line, cell)
        except HelpRequested as asked:
            print(asked.text)  # noqa: T201 - help is what was asked for
            return None

    def _cell(self, line: str, cell: str) -> Any:
        context = self._context()
        tokens, script_arguments = self._filled(line, context)
        options = verbs.CELL.parse(tokens, script_arguments)
        return self._shown(start(context, Source.of_cell(cell), options))

    def _verb(self, line: str) -> Any:
        context = self._context()
        tokens, script_arguments = self._filled(line, context)
        if not tokens or tokens[0] in {"-h", "--help", "help"}:
            raise HelpRequested(verbs.overview())
        return self._shown(verbs.call(context, tokens[0], tokens[1:], script_arguments))

    def _shown(self, result: Any) -> Any:
        """A run that was started is bound to its variable, shown and kept up to date, and, with `--wait`, waited for.
        Anything else shows itself as the cell's value."""
        if not isinstance(result, Started):
            return result
        from jupyter_mltrain.magics import output  # noqa: PLC0415 - only a run that was started needs it

        self.shell.user_ns[result.variable] = result.run
        output.show(self.shell, result.run, result.variable)
        if result.wait:
            output.wait(self.shell, result.run, result.variable)
        return None

    def _context(self) -> Context:
        namespace = self.shell.user_ns
        return Context(folder=Path.cwd(), namespace=namespace, notebook=notebook_name(namespace))

    def _filled(self, line: str, context: Context) -> tuple[list[str], Sequence[str] | None]:
        tokens, script_arguments = split_script_arguments(tokens_of(line))
        for odd in template.left_alone([*tokens, *(script_arguments or ())]):
            context.say(f"Note: {odd} stays as it is: only plain names are filled in.")
        filled = None if script_arguments is None else template.fill(script_arguments, context.namespace)
        return template.fill(tokens, context.namespace), filled
