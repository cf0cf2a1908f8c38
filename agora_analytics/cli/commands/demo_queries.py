"""Three questions that people ask of their calls first, in SQL, and their answers."""

from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax

from agora_analytics.cli.output.sql_output import show_table
from agora_analytics.store import open_store

# Lines of at most 76 characters: a terminal of 80 shows them as they are.
QUESTIONS = {
    "Which calls froze most?": """\
select cname, created_ts, count(distinct sid) as users,
       round(100 * count_if(value > 0) / count(value), 1) as "frozen %"
from calls join metrics using (call_id)
where mid = 20011            -- milliseconds that the picture stood still
group by call_id, cname, created_ts order by "frozen %" desc limit 5""",
    "Which networks lose packets?": """\
select network, count(distinct sid) as sessions,
       round(avg(value), 2) as "loss %",
       round(quantile_cont(value, 0.99), 1) as "worst 1 %"
from sessions join metrics using (call_id, sid)
where mid in (20016, 20018)  -- audio and video loss from end to end
group by network order by "loss %" desc""",
    "Which are the busiest hours?": """\
select hour(created_ts) as "hour UTC", count(*) as calls,
       bar(count(*), 0, max(count(*)) over (), 30) as begun
from calls
group by "hour UTC" order by calls desc limit 6""",
}


def show_questions(console: Console, store: Path) -> None:
    """Ask a store the three questions and write each with its answer."""
    opened = open_store(store)
    for question, query in QUESTIONS.items():
        console.print(f"\n[good]{question}[/]\n")
        if console.is_terminal:
            sql = Syntax(query, "sql", theme="ansi_dark", background_color="default", word_wrap=True)
            console.print(Padding(sql, (0, 0, 1, 2)))
        else:
            console.print(*(f"  {line}" for line in query.splitlines()), "", sep="\n", markup=False)
        show_table(console, opened.sql(query), most=0, indent=2, told=False)
