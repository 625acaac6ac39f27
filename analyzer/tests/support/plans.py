"""What of a plan is used, computed a second time: written from docs/PLANS.md, with other means than the
program (zoneinfo, one quarter hour after the other). Reads cases as JSON lines, writes results as JSON
lines. tests/plans.rs compares them with the program's."""

import bisect
import calendar
import datetime as dt
import json
import sys
import zoneinfo

QUARTER = 900


def local(ts, zone):
    return dt.datetime.fromtimestamp(ts, zone)


def start_of(day, zone):
    """The first quarter hour whose local date is `day` or later."""
    ts = int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.timezone.utc).timestamp()) - 30 * 3600
    while local(ts, zone).date() < day:
        ts += QUARTER
    return ts


def billing_date(year, month, day):
    return dt.date(year, month, min(day, calendar.monthrange(year, month)[1]))


def months(date, by):
    number = date.year * 12 + date.month - 1 + by
    return number // 12, number % 12 + 1


class Version:
    def __init__(self, said, until):
        self.zone = zoneinfo.ZoneInfo(said["zone"])
        self.day = said["billing_day"]
        self.cap = said["cap"]
        self.counted = said["counted"]
        self.hours = said["free_hours"]
        self.rollover = said["rollover"]
        self.already = said["already_used"]
        self.since = dt.date.fromisoformat(said["from"]) if said["from"] else None
        self.until = until
        self.starts = {}

    def start(self, day):
        if day not in self.starts:
            self.starts[day] = start_of(day, self.zone)
        return self.starts[day]

    def period(self, day):
        """First day, and first day after, of the period that `day` is in."""
        if self.since and day < self.since or self.until and day >= self.until:
            return None
        first = billing_date(day.year, day.month, self.day)
        if first > day:
            first = billing_date(*months(day, -1), self.day)
        after = billing_date(*months(first, 1), self.day)
        if self.since:
            first = max(first, self.since)
        if self.until:
            after = min(after, self.until)
        return first, after

    def is_free(self, ts):
        at = local(ts, self.zone)
        for days, begin, end in self.hours:
            minute = at.hour * 60 + at.minute
            if begin < end:
                if at.weekday() in days and begin <= minute < end:
                    return True
            elif at.weekday() in days and minute >= begin or (at.weekday() - 1) % 7 in days and minute < end:
                return True
        return False

    def count(self, up, down):
        return {"both": up + down, "down": down, "up": up, "max": max(up, down)}[self.counted]


def recorded(first, missing, begin, end):
    if first is None or max(first, begin) >= end:
        return 0
    begin = max(first, begin)
    gone = sum(max(0, min(b, end) - max(a, begin)) for a, b in missing)
    return max(0, end - begin - gone)


def standing(case):
    versions = []
    for said in case["versions"]:
        later = [v["from"] for v in case["versions"] if v["from"] and (said["from"] or "") < v["from"]]
        versions.append(Version(said, dt.date.fromisoformat(min(later)) if later else None))
    now, first, missing = case["now"], case["first"], case["missing"]
    # The last one that has begun, by its own clock.
    begun = [plan for plan in versions if plan.since is None or plan.start(plan.since) <= now]
    if not begun:
        return None
    plan = max(begun, key=lambda plan: plan.since or dt.date.min)
    today = local(now, plan.zone).date()
    if plan.until:
        today = min(today, plan.until - dt.timedelta(days=1))
    period = plan.period(today)
    begin, end = plan.start(period[0]), plan.start(period[1])
    if period[1] == plan.until:
        end = max(begin, next(v.start(v.since) for v in versions if v.since == plan.until))
    rows = sorted((ts, up, down, free or plan.is_free(ts)) for ts, free, up, down in case["rows"] if ts < now)
    times = [row[0] for row in rows]

    def sums(a, b):
        inside = rows[bisect.bisect_left(times, a) : bisect.bisect_left(times, b)]
        return sum(r[1] for r in inside if not r[3]), sum(r[2] for r in inside if not r[3])

    def already(period):
        if plan.already and period[0] <= dt.date.fromisoformat(plan.already[0]) < period[1]:
            return plan.already[1]
        return 0

    # What is carried over, from two years ago on.
    carried = 0
    if plan.cap is not None and plan.rollover:
        past, at = [], period
        while len(past) < 24:
            at = plan.period(at[0] - dt.timedelta(days=1))
            if not at:
                break
            past.insert(0, at)
        for p in past:
            p_begin, p_end = plan.start(p[0]), plan.start(p[1])
            known = first is not None and first <= p_begin
            known = known or plan.already and p[0] <= dt.date.fromisoformat(plan.already[0]) < p[1]
            rest = max(0, plan.cap + carried - plan.count(*sums(p_begin, p_end)) - already(p))
            carried = min(rest, plan.cap, plan.rollover) if known else 0

    up, down = sums(begin, end)
    before = already(period)
    measured = plan.count(up, down)
    used = measured + before
    free = sum(r[1] + r[2] for r in rows if begin <= r[0] < end and r[3])
    days_left = (period[1] - today).days
    result = {
        "first": str(period[0]), "after": str(period[1]), "begin": begin, "end": end, "up": up, "down": down,
        "used": used, "already_used": before, "free": free, "carried": carried, "days_left": days_left,
        "allowance": None, "left": None, "over": 0, "daily": None,
    }
    if plan.cap is not None:
        allowance = plan.cap + carried
        left = max(0, allowance - used)
        result |= {"allowance": allowance, "left": left, "over": max(0, used - allowance), "daily": left // days_left}
    elapsed, seen = now - begin, recorded(first, missing, begin, now)
    result |= {"elapsed": elapsed, "recorded": seen}

    # 95th percentile: quarter hours that are over, from the first that was seen.
    a = max(begin, first if first is not None else begin) // QUARTER * QUARTER
    b = now // QUARTER * QUARTER
    result["p95"] = None
    if b > a:
        ups, downs = dict.fromkeys(range(a, b, QUARTER), 0), dict.fromkeys(range(a, b, QUARTER), 0)
        for ts, row_up, row_down, is_free in rows:
            if a <= ts < b and not is_free:
                ups[ts] += row_up
                downs[ts] += row_down
        # The smallest rate that at least 95 of 100 quarter hours do not pass.
        rank = -(-95 * len(ups) // 100) - 1
        result["p95"] = [sorted(ups.values())[rank] * 8 // QUARTER, sorted(downs.values())[rank] * 8 // QUARTER]

    result["projection"] = None
    if elapsed >= QUARTER:
        length = end - begin
        pace = before + measured * length // elapsed
        recorded_pace = before + measured * length // seen if seen * 10 >= elapsed else None
        weekdays = used
        day = today
        while day < period[1] and weekdays is not None:
            samples = []
            for ago in range(1, 29):
                that = today - dt.timedelta(days=ago)
                if that.weekday() != day.weekday():
                    continue
                t0, t1 = plan.start(that), plan.start(that + dt.timedelta(days=1))
                if first is not None and first <= t0 and recorded(first, missing, t0, t1) > 0:
                    samples.append(plan.count(*sums(t0, t1)))
            if not samples:
                weekdays = None
                break
            mean = sum(samples) // len(samples)
            if day == today:
                t0, t1 = plan.start(day), plan.start(day + dt.timedelta(days=1))
                weekdays += mean * (t1 - now) // (t1 - t0)
            else:
                weekdays += mean
            day += dt.timedelta(days=1)
        known = [n for n in (pace, recorded_pace, weekdays) if n is not None]
        result["projection"] = {
            "low": min(known), "high": max(known), "pace": pace, "recorded_pace": recorded_pace, "weekdays": weekdays,
        }
    return result


for line in sys.stdin:
    print(json.dumps(standing(json.loads(line))), flush=False)
