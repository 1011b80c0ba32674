#!/usr/bin/env python3
"""Writes the dashboards beside it: dashboards/*.json. Needs nothing but Python 3.

    config/grafana/dashboards.py [--runbook URL] [--out FOLDER]

A dashboard is a list of panels; the grid is filled row by row. Each panel says what it shows and in which unit, and each query returns data from the
first scrape on: what has not happened is 0. Where a probe has no such part (no HEP, no responder), `or on() vector(0)` stands in for it.
"""

import argparse
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
DS = {"type": "prometheus", "uid": "${datasource}"}
HERE_ONLY = 'job="tracehop",instance=~"$instance"'
WIDTH = 24
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"


def pick(metric, more=""):
    """A metric of the chosen probes."""
    return metric + "{" + HERE_ONLY + ("," + more if more else "") + "}"


def per_second(metric, by="", more=""):
    total = "sum by (%s)" % by if by else "sum"
    return "%s (rate(%s[$__rate_interval]))" % (total, pick(metric, more))


def in_hour(metric, by="", more=""):
    total = "sum by (%s)" % by if by else "sum"
    return "%s (increase(%s[1h]))" % (total, pick(metric, more))


def or_zero(expr):
    """0 where there is nothing at all, and no further series where there is something."""
    return "(%s) or on() vector(0)" % expr


class Panel:
    def __init__(self, kind, title, about, queries, unit="short", w=8, h=8, **more):
        self.kind, self.title, self.about, self.unit, self.w, self.h = kind, title, about, unit, w, h
        self.queries = [queries] if isinstance(queries, tuple) else queries
        self.steps, self.alert = more.get("steps"), more.get("alert")
        self.stacked, self.top, self.link = more.get("stacked", False), more.get("top"), more.get("link")
        self.none, self.words, self.decimals = more.get("none"), more.get("words"), more.get("decimals")

    def render(self, number, x, y, runbook):
        steps = self.steps or [(None, GREEN if self.kind == "stat" else BLUE)]
        defaults = {
            "unit": self.unit,
            "min": 0 if self.unit in ("percentunit", "ops", "pps", "Bps", "bytes", "short", "cps") else None,
            "thresholds": {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in steps]},
            "color": {"mode": "thresholds"} if self.kind != "timeseries" else {"mode": "palette-classic"},
            "mappings": [],
            "links": [],
        }
        if self.top is not None:
            defaults["max"] = self.top
        if self.decimals is not None:
            defaults["decimals"] = self.decimals
        if self.none:
            defaults["noValue"] = self.none
        if self.words:
            defaults["mappings"] = [{"type": "value", "options": {
                str(v): {"text": t, "color": c, "index": i} for i, (v, t, c) in enumerate(self.words)}}]
        if self.link == "neighbour":
            defaults["links"] = [{"title": "this neighbour", "targetBlank": False, "url":
                "/d/tracehop-neighbour?var-peer=${__field.labels.peer}&${instance:queryparam}&${datasource:queryparam}&${__url_time_range}"}]
        defaults = {k: v for k, v in defaults.items() if v is not None}
        if self.kind == "timeseries":
            defaults["custom"] = {
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 25 if self.stacked else 8, "showPoints": "never", "spanNulls": False,
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "line" if self.steps else "off"},
            }
            options = {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True},
                       "tooltip": {"mode": "multi", "sort": "desc"}}
        elif self.kind == "stat":
            options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value", "graphMode": "area",
                       "textMode": "auto", "justifyMode": "auto", "orientation": "auto"}
        elif self.kind == "bargauge":
            options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "displayMode": "basic",
                       "orientation": "horizontal", "showUnfilled": True}
        else:
            options = {"showHeader": True}
        table = self.kind == "table"
        targets = []
        for ref, (expr, legend) in zip("ABCDEFGH", self.queries):
            target = {"refId": ref, "datasource": DS, "expr": expr, "legendFormat": legend, "editorMode": "code"}
            # A number that stands for now is asked for once.
            if self.kind in ("stat", "bargauge", "table"):
                target.update({"instant": self.kind != "stat", "range": self.kind == "stat"})
            else:
                target.update({"instant": False, "range": True})
            if table:
                target["format"] = "table"
            targets.append(target)
        panel = {
            "id": number, "type": self.kind, "title": self.title, "description": self.about, "datasource": DS,
            "gridPos": {"x": x, "y": y, "w": self.w, "h": self.h}, "targets": targets,
            "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
            "links": [{"title": "runbook: " + a, "url": "${runbook}#" + a.lower(), "targetBlank": True} for a in self.alert or []],
        }
        if table:
            hidden = {"Time": True, "__name__": True, "job": True, "alertstate": True}
            panel["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": {}}}]
        return panel


def stat(title, about, expr, unit="short", steps=None, **more):
    return Panel("stat", title, about, (expr, ""), unit, more.pop("w", 4), more.pop("h", 4), steps=steps, **more)


def lines(title, about, queries, unit="short", **more):
    return Panel("timeseries", title, about, queries, unit, **more)


def variable(name, label, query, multi=True, help_=""):
    return {"name": name, "label": label, "description": help_, "type": "query", "datasource": DS, "query": {"query": query, "refId": name}, "definition": query,
            "refresh": 2, "sort": 1, "multi": multi, "includeAll": multi, "allValue": ".*" if multi else None, "hide": 0,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if multi else {}, "options": [], "skipUrlSync": False}


def dashboard(uid, title, about, panels, variables=(), runbook=""):
    out, x, y, row, number = [], 0, 0, 0, 0
    for p in panels:
        number += 1
        if isinstance(p, str):
            x, y = 0, y + row
            out.append({"id": number, "type": "row", "title": p, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
            y, row = y + 1, 0
            continue
        if x + p.w > WIDTH:
            x, y, row = 0, y + row, 0
        out.append(p.render(number, x, y, runbook))
        x, row = x + p.w, max(row, p.h)
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0,
              "current": {"selected": True, "text": "tracehop", "value": "tracehop"}, "options": [], "multi": False, "includeAll": False, "regex": ""}
    probes = variable("instance", "Probe", 'label_values(up{job="tracehop"}, instance)')
    book = {"name": "runbook", "type": "constant", "hide": 2, "query": runbook, "label": "URL of docs/RUNBOOK.md", "skipUrlSync": True,
            "current": {"selected": True, "text": runbook, "value": runbook}, "options": [{"selected": True, "text": runbook, "value": runbook}]}
    link = {"asDropdown": False, "icon": "external link", "includeVars": True, "keepTime": True, "tooltip": "", "targetBlank": False}
    return {
        "uid": uid, "title": title, "description": about, "tags": ["tracehop"], "schemaVersion": 38, "version": 1, "editable": True,
        "graphTooltip": 1, "refresh": "30s", "timezone": "utc", "fiscalYearStartMonth": 0, "liveNow": False, "weekStart": "",
        "time": {"from": "now-6h", "to": "now"}, "timepicker": {},
        "annotations": {"list": []},
        "links": [dict(link, type="dashboards", title="tracehop", tags=["tracehop"], url=""),
                  dict(link, type="link", title="Runbook", tags=[], url="${runbook}", includeVars=False, keepTime=False, icon="doc", targetBlank=True)],
        "templating": {"list": [source, probes, *variables, book]},
        "panels": out,
    }


ALERTS = 'ALERTS{alertname=~"Tracehop.*",alertstate="firing"}'
NEIGHBOURS = 'direction="ingress"'
OK_OR_NOT = [(1, "yes", GREEN), (0, "no", RED)]


def noc():
    return [
        stat("Probes that answer", "Scraped in the last round. Fewer than there are: look at the targets in Prometheus.", "sum(%s)" % pick("up"),
             steps=[(None, RED), (1, GREEN)], alert=["TracehopDown"]),
        stat("Alerts", "Alerts of tracehop that fire now.", or_zero("count(%s)" % ALERTS), steps=[(None, GREEN), (1, YELLOW), (5, RED)]),
        stat("Calls a second", "Calls that neighbours hand over, by all probes chosen.", "sum(%s)" % pick("instance:tracehop_calls:rate5m"), "cps"),
        stat("Calls a day, at this pace", "Calls that neighbours hand over, if the last five minutes went on for a day.", "86400 * sum(%s)" % pick("instance:tracehop_calls:rate5m"), decimals=0),
        stat("Lost on the way in", "Share of packets dropped before they were read. From one in a thousand on this time counts as not seen.",
             "max(%s)" % pick("instance:tracehop_dropped:ratio5m"), "percentunit", [(None, GREEN), (0.0001, YELLOW), (0.001, RED)], alert=["TracehopDrops"]),
        stat("Open hop requests", "Traceback requests that wait for us or are on their way back.",
             or_zero("sum(%s)" % pick("tracehop_responder_requests", 'state=~"received|ready|review|needs-info|outbox|disputed"')),
             steps=[(None, GREEN), (20, YELLOW)], alert=["TracehopHopDeadlineNear"]),
        "Calls",
        lines("Calls by verdict", "Calls a second that neighbours hand over: passed, failed, undetermined (could not find out, which is not failed), none (unsigned).",
              ("sum by (validation) (%s)" % pick("instance_peer_validation:tracehop_calls:rate5m"), "{{validation}}"), "cps", w=12, stacked=True),
        lines("Calls by neighbour", "Calls a second, the ten busiest neighbours. `unknown` is whom no rule of peers.toml names.",
              ("topk(10, sum by (peer) (%s))" % pick("instance_peer:tracehop_calls:rate5m"), "{{peer}}"), "cps", w=12, link="neighbour"),
        lines("Unsigned, by neighbour", "Share of a neighbour's calls of the last half hour without a signature. Its usual is on its own dashboard.",
              ("max by (peer) (%s)" % pick("instance_peer:tracehop_unsigned:ratio30m"), "{{peer}}"), "percentunit", top=1, link="neighbour", alert=["TracehopUnsignedJump"]),
        lines("Failed, by neighbour", "Share of a neighbour's calls of the last half hour that fail verification.",
              ("max by (peer) (%s)" % pick("instance_peer:tracehop_failed:ratio30m"), "{{peer}}"), "percentunit", top=1, link="neighbour", alert=["TracehopFailedJump"]),
        lines("Spoofed, by neighbour", "Calls in ten minutes with a flag that says: the number or PASSporT can't be the caller's own. The neighbour hands them over, and need not make them.",
              ("sum by (peer) (%s)" % pick("instance_peer:tracehop_spoofed:increase10m"), "{{peer}}"), link="neighbour", alert=["TracehopSpoofBurst"]),
        "What is remarkable",
        lines("Flags", "Calls a second by flag; one call may have several. docs/FLAGS.md explains each.",
              (per_second("tracehop_call_flags_total", "flag", NEIGHBOURS + ',flag!~"attest-.*"'), "{{flag}}"), "cps", w=12),
        lines("Behaviours that go on", "Findings above their threshold now, by kind. protected-flood is worth a call at once.",
              ("sum by (kind) (%s)" % pick("tracehop_findings_open"), "{{kind}}"), w=6, alert=["TracehopProtectedFlood", "TracehopFlood"]),
        lines("Campaigns that go on", "Flagged calls of one upstream that belong together, by upstream.",
              ("sum by (peer) (%s)" % pick("tracehop_campaigns_open"), "{{peer}}"), w=6, link="neighbour"),
        "Whether we look",
        lines("Not looked for", "How long ago each sensor last looked. A silent HEP agent and a hanging thread both show here.",
              ("time() - max by (instance, sensor) (%s)" % pick("tracehop_sensor_looked_timestamp_seconds"), "{{instance}} {{sensor}}"), "s",
              steps=[(None, GREEN), (180, RED)], alert=["TracehopSensorBlind"]),
        Panel("table", "Alerts that fire", "Name, severity and whom it is about. A single 0 without a name says that there is none.",
              (or_zero("sum by (alertname, severity, instance, peer, portal, sensor) (%s)" % ALERTS), ""), w=16),
    ]


def neighbour():
    of = 'peer=~"$peer"'
    ingress = NEIGHBOURS + "," + of
    return [
        stat("Calls a second", "Calls that it hands over.", "sum(%s)" % pick("instance_peer:tracehop_calls:rate5m", of), "cps"),
        stat("Unsigned", "Share of the last half hour.", "max(%s)" % pick("instance_peer:tracehop_unsigned:ratio30m", of), "percentunit", none="no calls"),
        stat("Failed", "Share of the last half hour that fails verification.", "max(%s)" % pick("instance_peer:tracehop_failed:ratio30m", of), "percentunit", [(None, GREEN), (0.05, YELLOW)], none="no calls"),
        stat("Spoofed in 10 min", "Calls whose number or PASSporT can't be the caller's own.", "sum(%s)" % pick("instance_peer:tracehop_spoofed:increase10m", of), steps=[(None, GREEN), (20, YELLOW)], decimals=0, alert=["TracehopSpoofBurst"]),
        stat("Findings", "Behaviours above their threshold now.", or_zero("sum(%s)" % pick("tracehop_findings_open", of)), steps=[(None, GREEN), (1, YELLOW)]),
        stat("Campaigns", "Campaigns of this upstream that go on.", or_zero("sum(%s)" % pick("tracehop_campaigns_open", of)), steps=[(None, GREEN), (1, YELLOW)]),
        "Calls",
        lines("By verdict", "Calls a second by validation. Undetermined is: could not find out.",
              ("sum by (validation) (%s)" % pick("instance_peer_validation:tracehop_calls:rate5m", of), "{{validation}}"), "cps", stacked=True),
        lines("By claimed attestation", "A: knows customer and number. B: knows the customer. C: a gateway. As claimed, whether it verifies or not; none is unsigned.",
              (per_second("tracehop_verdicts_total", "attest", ingress), "{{attest}}"), "cps", stacked=True),
        lines("Both ways", "Calls a second that it hands to us and that we hand to it.",
              (per_second("tracehop_calls_total", "direction", of), "{{direction}}"), "cps"),
        "Against its own usual",
        lines("Unsigned, against its usual", "Share of the last half hour, and what nine tenths of the last day lay below. The alert rings 20 points above the usual of an hour ago.",
              [("max by (peer) (%s)" % pick("instance_peer:tracehop_unsigned:ratio30m", of), "{{peer}}"), ("max by (peer) (%s)" % pick("instance_peer:tracehop_unsigned:ratio30m_usual", of), "{{peer}}, usual")],
              "percentunit", w=12, top=1, alert=["TracehopUnsignedJump"]),
        lines("Failed, against its usual", "The same for calls that fail verification; the alert rings 10 points above.",
              [("max by (peer) (%s)" % pick("instance_peer:tracehop_failed:ratio30m", of), "{{peer}}"), ("max by (peer) (%s)" % pick("instance_peer:tracehop_failed:ratio30m_usual", of), "{{peer}}, usual")],
              "percentunit", w=12, top=1, alert=["TracehopFailedJump"]),
        "Why",
        lines("Reasons", "Calls a second that did not pass, by the rule that decided (docs/RULES.md).",
              (or_zero(per_second("tracehop_verdicts_total", "reason", ingress + ',reason!="none"')), "{{reason}}"), "cps"),
        lines("Flags", "Calls a second by flag, attestation left out.", (or_zero(per_second("tracehop_call_flags_total", "flag", ingress + ',flag!~"attest-.*"')), "{{flag}}"), "cps"),
        lines("Its clock", "Fresh PASSporTs a second by how far iat lies from capture. Mostly `sound`, or its clock is off, or ours.",
              (per_second("tracehop_passport_skew_total", "skew", ingress), "{{skew}}"), "cps"),
        lines("Refused by the other side for verification", "Call attempts a second that the other side's verification spoke against. disagrees=yes: we say that the call is in order.",
              (per_second("tracehop_stir_refusals_total", "disagrees", of), "disagrees: {{disagrees}}"), "cps", w=12),
        lines("Calls in campaigns", "Calls a second that opened a campaign of this upstream or found it open.", (per_second("tracehop_campaign_calls_total", "peer", of), "{{peer}}"), "cps", w=12),
    ]


def verification():
    return [
        stat("Undetermined", "Share of calls of the last half hour of which we could not find out whether they verify.", "max(%s)" % pick("instance:tracehop_undetermined:ratio30m"), "percentunit", [(None, GREEN), (0.05, YELLOW), (0.2, RED)], alert=["TracehopManyUndetermined"], none="no calls"),
        stat("Authorities", "Certificate authorities that are trusted, the fewest of the probes chosen.", "min(%s)" % pick("tracehop_trust_authorities"), steps=[(None, RED), (1, GREEN)]),
        stat("List of authorities", "Time until it ends. Without one (anchors from a file) it does not end.", 'min(%s - time())' % pick("tracehop_trust_list_end_timestamp_seconds", 'list="ca_list"'), "s", [(None, RED), (0, YELLOW), (21600, GREEN)], alert=["TracehopTrustListEnds", "TracehopTrustListEnded"], none="does not end"),
        stat("Revocation list", "Time until it ought to be replaced.", 'min(%s - time())' % pick("tracehop_trust_list_end_timestamp_seconds", 'list="crl"'), "s", [(None, RED), (0, YELLOW), (21600, GREEN)], alert=["TracehopTrustListEnds", "TracehopTrustListEnded"], none="none in use"),
        stat("Newer lists refused", "1 while a newer list was refused and the older one is used.", "max(%s)" % pick("tracehop_trust_kept_old"), steps=[(None, GREEN), (1, RED)], words=[(0, "no", GREEN), (1, "yes", RED)], alert=["TracehopTrustKeptOld"]),
        stat("Certificates in memory", "Fetched certificates, and those of the directory.", "sum(%s) + (%s)" % (pick("tracehop_trust_certificates"), or_zero("sum(%s)" % pick("tracehop_fetch_cached")))),
        "Verdicts",
        lines("By claimed attestation", "Calls a second that neighbours hand over.", (per_second("tracehop_verdicts_total", "attest", NEIGHBOURS), "{{attest}}"), "cps", stacked=True),
        lines("Passed, of those that claim A", "Share of calls with attestation A that verify, by neighbour. Nothing is shown where none claims A.",
              ('sum by (peer) (rate(%s[$__rate_interval])) / (sum by (peer) (rate(%s[$__rate_interval])) > 0) or on() vector(0)' % (pick("tracehop_verdicts_total", NEIGHBOURS + ',attest="A",reason="none"'), pick("tracehop_verdicts_total", NEIGHBOURS + ',attest="A"')), "{{peer}}"), "percentunit", top=1, link="neighbour"),
        lines("Reasons", "Calls a second that did not pass, by the rule that decided (docs/RULES.md).", (or_zero(per_second("tracehop_verdicts_total", "reason", NEIGHBOURS + ',reason!="none"')), "{{reason}}"), "cps"),
        lines("PASSporTs", "Sights of PASSporTs a second. first, other_leg, same_call and rerouted are normal routing; suspect, other_destination and late are not.", (per_second("tracehop_passports_total", "sighting"), "{{sighting}}"), "cps"),
        lines("Clocks of signers", "Fresh PASSporTs a second by how far iat lies from capture. If all are off, it is our clock.", (per_second("tracehop_passport_skew_total", "skew"), "{{skew}}"), "cps", alert=["TracehopClockUnhealthy"]),
        lines("Others disagree", "Call attempts a second that the other side's verification spoke against, by neighbour, where we say that the call is in order.", (per_second("tracehop_stir_refusals_total", "peer", 'disagrees="yes"'), "{{peer}}"), "cps", link="neighbour"),
        "Certificates",
        lines("Fetches", "Wishes for a certificate a second, by what became of them. known_failure and host_busy are not asked again.", (or_zero(per_second("tracehop_fetch_total", "outcome")), "{{outcome}}"), "ops"),
        lines("Calls that waited for a certificate", "Calls a second that lacked one, by how they went on. `certificate` is good, all others end undetermined.", (or_zero(per_second("tracehop_parked_total", "why")), "{{why}}"), "cps"),
        lines("Requests under way and waiting", "Requests for certificates, now.", [(or_zero("sum(%s)" % pick("tracehop_fetch_in_flight")), "under way"), (or_zero("sum(%s)" % pick("tracehop_fetch_waiting")), "waiting")]),
        lines("Evidence", "Calls a second of which it is kept what it takes to judge them again.", (per_second("tracehop_evidence_total"), "calls"), "cps", w=12),
        lines("Not verified under overload", "Signatures a second that were left unchecked because more calls come than can be verified.", (per_second("tracehop_shed_total", "", 'kind="check"'), "signatures"), "ops", w=12, alert=["TracehopOverload"]),
    ]


def capture():
    return [
        stat("Interfaces up", "Interfaces that are captured, of those configured; 0 where only HEP is heard.", or_zero("sum(%s)" % pick("tracehop_capture_up")), alert=["TracehopCaptureDown"]),
        stat("Interfaces down", "Configured, and gone or down.", or_zero("count(%s == 0)" % pick("tracehop_capture_up")), steps=[(None, GREEN), (1, RED)], alert=["TracehopCaptureDown"]),
        stat("Lost on the way in", "Share of packets dropped before they were read.", "max(%s)" % pick("instance:tracehop_dropped:ratio5m"), "percentunit", [(None, GREEN), (0.0001, YELLOW), (0.001, RED)], alert=["TracehopDrops"]),
        stat("Behind", "How long after its capture the last message was recorded.", or_zero("max(%s)" % pick("tracehop_store_lag_seconds")), "s", [(None, GREEN), (10, YELLOW), (30, RED)], alert=["TracehopLag"]),
        stat("Store", "Whether the store takes records.", "min(%s)" % pick("tracehop_store_writable"), steps=[(None, RED), (1, GREEN)], words=OK_OR_NOT, alert=["TracehopStoreNotWritable"]),
        stat("Clock", "Bound of the clock's error. Above a second nothing is answered automatically.", or_zero("max(%s + abs(%s))" % (pick("tracehop_clock_error_seconds"), pick("tracehop_clock_offset_seconds"))), "s", [(None, GREEN), (0.5, YELLOW), (1, RED)], alert=["TracehopClockUnhealthy"]),
        "What comes in",
        lines("Packets", "Packets a second that pass the kernel's filter, by interface.", (or_zero(per_second("tracehop_capture_packets_total", "instance, interface")), "{{instance}} {{interface}}"), "pps"),
        lines("Drops", "Packets a second that the kernel dropped because we were slow, and HEP datagrams dropped.", [(or_zero(per_second("tracehop_capture_drops_total", "instance, interface")), "{{instance}} {{interface}}"), (or_zero(per_second("tracehop_hep_total", "instance", 'outcome=~"dropped|queue_full"')), "{{instance}} HEP")], "pps", alert=["TracehopDrops"]),
        lines("Ring full", "Times in an hour that the kernel's ring was full.", (or_zero(in_hour("tracehop_capture_freezes_total", "instance, interface")), "{{instance}} {{interface}}")),
        lines("Agents", "HEP packets a second by agent. One that stands still is cut off.", (or_zero(per_second("tracehop_hep_agent_total", "instance, agent", 'outcome="packets"')), "{{instance}} {{agent}}"), "pps", alert=["TracehopSensorBlind"]),
        lines("HEP refused", "Packets a second that no agent of the configuration may send, by what was missing.", (or_zero(per_second("tracehop_hep_total", "outcome", 'outcome=~"refused_.*"')), "{{outcome}}"), "pps"),
        lines("Not looked for", "How long ago each sensor last looked.", ("time() - max by (instance, sensor) (%s)" % pick("tracehop_sensor_looked_timestamp_seconds"), "{{instance}} {{sensor}}"), "s", steps=[(None, GREEN), (180, RED)], alert=["TracehopSensorBlind", "TracehopNoMessages"]),
        "What is made of it",
        lines("SIP messages", "Messages a second by what became of them.", (per_second("tracehop_messages_total", "outcome"), "{{outcome}}"), "ops", stacked=True),
        lines("Cut messages", "SIP messages a second that came in cut, by why. A cut message never makes a call look unsigned.", (per_second("tracehop_assembled_total", "outcome", 'outcome=~"messages_cut_.*"'), "{{outcome}}"), "ops", alert=["TracehopManyUndetermined"]),
        lines("Duplicates", "Messages a second that came by wire and by HEP, or twice, by what became of them.", (per_second("tracehop_duplicates_total", "outcome"), "{{outcome}}"), "ops"),
        "Under load",
        lines("Queues", "Batches that wait, as a share of the room there is.", ("max by (instance, queue) (%s / %s)" % (pick("tracehop_queue_depth"), pick("tracehop_queue_capacity")), "{{instance}} {{queue}}"), "percentunit", top=1, steps=[(None, GREEN), (0.8, RED)], alert=["TracehopLag"]),
        lines("Let go", "Messages and checks a second that were let go under overload; never an INVITE seen for the first time.", (per_second("tracehop_shed_total", "kind"), "{{kind}}"), "ops", alert=["TracehopOverload"]),
        lines("Stages", "How long ago each stage last turned. A stage that stands still is a defect.", ("max by (instance, stage) (%s)" % pick("tracehop_stage_beat_age_seconds"), "{{instance}} {{stage}}"), "s", steps=[(None, GREEN), (30, RED)], alert=["TracehopDefect"]),
        lines("Panics in an hour", "Each is a defect of tracehop and worth a report.", (pick("instance:tracehop_panics:increase1h"), "{{instance}}"), decimals=0, alert=["TracehopDefect"]),
        lines("Forgotten early", "In an hour, for want of memory: attempts closed, legs and PASSporTs forgotten.", [(in_hour("tracehop_attempts_lost_total", "", 'reason="evicted"'), "attempts"), (in_hour("tracehop_legs_forgotten_total"), "legs"), (in_hour("tracehop_passports_forgotten_total"), "PASSporTs")]),
        lines("Late", "In an hour: messages behind their time, and rows of the ledger that came when its books were closed.", [(in_hour("tracehop_sequence_late_total"), "messages"), (in_hour("tracehop_coverage_late_total"), "rows")]),
        "Store and host",
        lines("Records", "What the store takes in, a second.", (per_second("tracehop_store_appended_total", "what"), "{{what}}"), "ops"),
        lines("Room for the store", "Free on its disk. Below the lower line no record is taken, below twice it evidence goes.", [(or_zero(pick("tracehop_store_free_bytes")), "{{instance}} free"), (or_zero(pick("tracehop_store_min_free_bytes")), "{{instance}} must stay free")], "bytes", alert=["TracehopStoreSpace"]),
        lines("Refused by the store", "In an hour: what was not taken, by why. lost is a call without a record.", (in_hour("tracehop_store_refused_total", "why"), "{{why}}"), alert=["TracehopRecordsLost"]),
        lines("Size of the store", "On disk, measured every ten minutes.", (or_zero("sum by (instance) (%s)" % pick("tracehop_store_bytes")), "{{instance}}"), "bytes"),
        lines("Processor", "Cores in use.", (per_second("process_cpu_seconds_total", "instance"), "{{instance}}")),
        lines("Memory", "Memory of the process in RAM.", ("sum by (instance) (%s)" % pick("process_resident_memory_bytes"), "{{instance}}"), "bytes"),
        lines("Findings on their way", "Findings that wait for a sink, and in an hour those that did not reach it.", [(or_zero("sum by (sink) (%s)" % pick("tracehop_findings_queue_depth")), "{{sink}} waiting"), (or_zero(in_hour("tracehop_findings_total", "sink", 'outcome=~"dropped|failed|refused|disabled"')), "{{sink}} not delivered")], alert=["TracehopFindingsStuck"]),
    ]


def traceback():
    of = 'portal=~"$portal"'
    waits = of + ',state=~"received|ready|review|needs-info|outbox|disputed"'
    return [
        stat("Open", "Requests that wait for us or are on their way back.", or_zero("sum(%s)" % pick("tracehop_responder_requests", waits)), steps=[(None, GREEN), (20, YELLOW)]),
        stat("For a person", "Requests that a person must decide about.", or_zero("sum(%s)" % pick("tracehop_responder_requests", of + ',state=~"review|disputed"')), steps=[(None, GREEN), (1, YELLOW), (20, RED)]),
        stat("Three quarters of their time", "Open requests that have used so much of it, or more.", or_zero("sum(%s)" % pick("tracehop_responder_near_deadline", of + ',percent="75"')), steps=[(None, GREEN), (1, RED)], alert=["TracehopHopDeadlineNear", "TracehopHopDeadlineClose"]),
        stat("Next deadline", "Time until the most pressing open request is due.", "min(%s - time())" % pick("tracehop_responder_earliest_due_timestamp_seconds", of), "s", [(None, RED), (0, YELLOW), (21600, GREEN)], none="none is pressing"),
        stat("Oldest in the outbox", "How long the oldest answer has waited for its portal.", or_zero("max(%s)" % pick("tracehop_responder_outbox_oldest_age_seconds")), "s", [(None, GREEN), (900, YELLOW), (3600, RED)], alert=["TracehopOutboxStuck"]),
        stat("Stopped", "Whether a person has stopped everything that leaves.", or_zero("max(%s)" % pick("tracehop_responder_halted")), words=[(0, "no", GREEN), (1, "yes", YELLOW)], alert=["TracehopAnswersHalted"]),
        "Requests",
        lines("By state", "Requests that the desk keeps. review waits for a person, outbox for the portal, needs-info for the portal's word.",
              (or_zero("sum by (state) (%s)" % pick("tracehop_responder_requests", waits)), "{{state}}"), w=12, stacked=True),
        lines("Near their deadline", "Open requests by how much of the rule's time has run.", (or_zero("sum by (percent) (%s)" % pick("tracehop_responder_near_deadline", of)), "{{percent}} %"), w=12, alert=["TracehopHopDeadlineNear", "TracehopHopDeadlineClose"]),
        lines("Received in an hour", "Requests that came, by portal.", (or_zero(in_hour("tracehop_responder_total", "portal", of + ',what="received"')), "{{portal}}")),
        lines("What the matcher said", "In an hour: UPSTREAM_DOMESTIC names a neighbour, AMBIGUOUS and others go to a person.", (or_zero(in_hour("tracehop_responder_total", "what", of + ',what=~"matched:.*"')), "{{what}}")),
        lines("Disputes and refusals in an hour", "Answers that a portal disputed or will never take.", (or_zero(in_hour("tracehop_responder_total", "what", of + ',what=~"refused-by-portal:.*|disputed"')), "{{what}}"), alert=["TracehopAnswerContested"]),
        "Answers",
        lines("On their way", "Answers and reports in the outbox, by portal.", (or_zero("sum by (portal) (%s)" % pick("tracehop_responder_outbox", of)), "{{portal}}"), alert=["TracehopOutboxStuck"]),
        lines("Delivered in an hour", "Answers that a portal took, and tries that failed.", (or_zero(in_hour("tracehop_responder_total", "what", of + ',what=~"delivered:.*|tried-again:.*"')), "{{what}}")),
        lines("Portals reached", "1 while nothing goes wrong on the way from or to the portal.", (or_zero("min by (portal) (%s)" % pick("tracehop_responder_portal_up", of)), "{{portal}}"), top=1, alert=["TracehopPortalUnreachable"]),
        "Look-ups and API",
        lines("Look-ups", "Look-ups a second, and those that failed for now.", [(or_zero(per_second("tracehop_responder_lookups_total", "", 'within="any"')), "all"), (or_zero(per_second("tracehop_responder_lookups_failed_total")), "failed")], "ops"),
        lines("Slow look-ups", "Share that took longer than 50 ms, which is what one hop may take; 0 where there was none.",
              (or_zero("(%s - %s) / clamp_min(%s, 1e-9)" % (per_second("tracehop_responder_lookups_total", "", 'within="any"'), per_second("tracehop_responder_lookups_total", "", 'within="0.05"'), per_second("tracehop_responder_lookups_total", "", 'within="any"'))), "slower than 50 ms"), "percentunit", top=1),
        lines("Mean time of a look-up", "0 where there was none.", (or_zero("%s / clamp_min(%s, 1e-9)" % (per_second("tracehop_responder_lookups_seconds_total"), per_second("tracehop_responder_lookups_total", "", 'within="any"'))), "mean"), "s"),
        lines("API", "Requests a second from those who are known, by what became of them.", (or_zero(per_second("tracehop_api_total", "outcome")), "{{outcome}}"), "ops"),
        lines("API refused", "Requests a second that were refused, by reason. Who was refused is not told which.", (or_zero(per_second("tracehop_api_refused_total", "reason")), "{{reason}}"), "ops"),
        lines("Held neighbours", "Neighbours about whom nothing leaves by itself since a dispute.", (or_zero("sum(%s)" % pick("tracehop_responder_held_peers")), "held"), alert=["TracehopAnswerContested"]),
    ]


def main():
    args = argparse.ArgumentParser(description="writes the dashboards")
    args.add_argument("--runbook", default="https://noc.example.net/tracehop/RUNBOOK.md", help="where your people read docs/RUNBOOK.md")
    args.add_argument("--out", type=pathlib.Path, default=HERE / "dashboards")
    args = args.parse_args()
    peer = variable("peer", "Neighbour", 'label_values(tracehop_calls_total{job="tracehop",instance=~"$instance"}, peer)', help_="id in peers.toml; unknown: no rule names it")
    portal = variable("portal", "Portal", 'label_values(tracehop_responder_requests{job="tracehop",instance=~"$instance"}, portal)')
    every = [
        ("noc", "tracehop: NOC overview", "Calls, what is remarkable about them, and whether we look.", noc(), []),
        ("neighbour", "tracehop: neighbour", "One neighbour, or several: what it hands over, against its own usual.", neighbour(), [peer]),
        ("verification", "tracehop: verification", "Verdicts, reasons, certificates and lists.", verification(), []),
        ("capture", "tracehop: capture health", "What comes in, what is lost, what waits: whether the probe sees everything.", capture(), []),
        ("traceback", "tracehop: traceback", "Requests, deadlines, answers and their way to the portal.", traceback(), [portal]),
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    for name, title, about, panels, variables in every:
        page = dashboard("tracehop-" + name, title, about, panels, variables, args.runbook)
        (args.out / (name + ".json")).write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
