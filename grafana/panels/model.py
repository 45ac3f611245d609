"""What the dashboards are made of: panels, variables, fields, and where they go."""

WIDTH = 24

POSTGRES = {'type': 'postgres', 'uid': '${datasource}'}
PROMETHEUS = {'type': 'prometheus', 'uid': '${datasource}'}

# Beyond the first value each color begins at its number.
GOOD_BELOW = 'green', 'yellow', 'red'

STATES = {
    'running': 'green', 'idle': 'blue', 'catching up': 'yellow', 'starting': 'blue', 'queued': 'yellow',
    'finished': 'blue', 'standby': 'blue', 'paused': 'orange', 'paused: restored': 'orange', 'restarting': 'orange',
    'postponed': 'orange', 'waiting for topic': 'orange', 'waiting for broker': 'orange',
    'out of memory': 'red', 'error': 'red',
}


# -- fields ----------------------------------------------------------------------

def thresholds(*bounds, colors=GOOD_BELOW):
    """thresholds(10, 100): green, from 10 on yellow, from 100 on red; one bound: from there on red"""
    if len(bounds) == 1:
        colors = colors[0], colors[-1]
    return {'mode': 'absolute', 'steps': [{'color': color, 'value': value}
                                          for color, value in zip(colors, (None, *bounds))]}


def state_colors():
    """the mapping that colors the states of weir.status"""
    return [{'type': 'value', 'options': {state: {'color': color, 'index': i, 'text': state}
                                          for i, (state, color) in enumerate(STATES.items())}}]


def field(name, unit=None, bounds=None, width=None, decimals=None, colored=None, link=None, hidden=False):
    """what holds for one column only; colored: 'text' or 'background', by its thresholds or mappings"""
    properties = []
    if unit:
        properties.append({'id': 'unit', 'value': unit})
    if decimals is not None:
        properties.append({'id': 'decimals', 'value': decimals})
    if bounds:
        properties.append({'id': 'thresholds', 'value': thresholds(*bounds)})
    if width:
        properties.append({'id': 'custom.width', 'value': width})
    if colored:
        properties.append({'id': 'custom.displayMode', 'value': 'color-' + colored})
    if link:
        properties.append({'id': 'links', 'value': [{'title': link[0], 'url': link[1]}]})
    if hidden:
        properties.append({'id': 'custom.hidden', 'value': True})
    return {'matcher': {'id': 'byName', 'options': name}, 'properties': properties}


def state_field(name='state'):
    override = field(name, width=130, colored='background')
    override['properties'].append({'id': 'mappings', 'value': state_colors()})
    return override


# -- queries ---------------------------------------------------------------------

def sql(text, form='table'):
    return {'datasource': POSTGRES, 'editorMode': 'code', 'format': form, 'rawQuery': True,
            'rawSql': '\n'.join(line.strip() for line in text.strip().splitlines()), 'refId': 'A'}


def promql(*pairs, form='time_series'):
    """promql((expression, legend), ...)"""
    return [{'datasource': PROMETHEUS, 'editorMode': 'code', 'expr': ' '.join(expression.split()), 'format': form,
             'legendFormat': legend, 'range': True, 'instant': False, 'refId': chr(ord('A') + i)}
            for i, (expression, legend) in enumerate(pairs)]


# -- panels ----------------------------------------------------------------------

def panel(kind, title, query, size, unit='short', options=None, custom=None, bounds=None, overrides=(),
          about=None, decimals=None, interval=None, mappings=(), color=None, least=None, most=None):
    """Any panel.  size is (width, height) in Grafana's grid of 24 columns; query what sql or promql returns."""
    targets = query if isinstance(query, list) else [query]
    defaults = {'color': {'mode': color or ('thresholds' if bounds else 'palette-classic')},
                'custom': custom or {}, 'mappings': list(mappings),
                'thresholds': thresholds(*(bounds or ())), 'unit': unit}
    for name, value in ('decimals', decimals), ('min', least), ('max', most):
        if value is not None:
            defaults[name] = value
    made = {'type': kind, 'title': title, 'size': size, 'datasource': targets[0]['datasource'], 'targets': targets,
            'fieldConfig': {'defaults': defaults, 'overrides': list(overrides)}, 'options': options or {}}
    if about:
        made['description'] = about
    if interval:
        made['interval'] = interval
    return made


def reduced(**more):
    return {'reduceOptions': {'calcs': ['lastNotNull'], 'fields': '', 'values': False}, 'orientation': 'auto', **more}


def stat(title, query, size=(4, 4), bounds=None, **more):
    options = reduced(colorMode='value', graphMode='none', justifyMode='auto', textMode='auto')
    return panel('stat', title, query, size, options=options, bounds=bounds or (), color='thresholds', **more)


def gauge(title, query, size=(4, 4), **more):
    return panel('gauge', title, query, size, color='thresholds',
                 options=reduced(showThresholdLabels=False, showThresholdMarkers=True), **more)


def bars(title, query, size, **more):
    """a bar for each row, with the name in its text column"""
    options = reduced(displayMode='gradient', minVizHeight=10, minVizWidth=0, showUnfilled=True)
    options['reduceOptions']['values'] = True
    options['orientation'] = 'horizontal'
    return panel('bargauge', title, query, size, options=options, least=0, **more)


def columns(title, query, size, x, **more):
    """a column chart over the text column x"""
    options = {'barRadius': 0, 'barWidth': 0.9, 'fullHighlight': False, 'groupWidth': 0.7, 'orientation': 'auto',
               'showValue': 'never', 'stacking': 'none', 'xField': x, 'xTickLabelRotation': 0,
               'legend': {'calcs': [], 'displayMode': 'list', 'placement': 'bottom', 'showLegend': True},
               'tooltip': {'mode': 'multi', 'sort': 'none'}}
    custom = {'fillOpacity': 80, 'gradientMode': 'none', 'lineWidth': 1}
    return panel('barchart', title, query, size, options=options, custom=custom, least=0, **more)


def table(title, query, size, overrides=(), sort=None, footer=False, **more):
    options = {'showHeader': True, 'footer': {'show': footer, 'reducer': ['sum'], 'countRows': False, 'fields': []}}
    if sort:
        options['sortBy'] = [{'displayName': sort[0], 'desc': sort[1]}]
    return panel('table', title, query, size, options=options, overrides=overrides,
                 custom={'align': 'auto', 'displayMode': 'auto', 'inspect': True}, color='thresholds', **more)


def lines(title, query, size, stacked=False, points='never', least=0, **more):
    """a time series"""
    custom = {'drawStyle': 'line', 'lineInterpolation': 'linear', 'lineWidth': 1, 'showPoints': points,
              'fillOpacity': 40 if stacked else 10, 'gradientMode': 'none', 'spanNulls': False,
              'axisPlacement': 'auto', 'axisSoftMin': 0, 'scaleDistribution': {'type': 'linear'},
              'stacking': {'group': 'A', 'mode': 'normal' if stacked else 'none'},
              'thresholdsStyle': {'mode': 'dashed' if more.get('bounds') else 'off'}}
    options = {'legend': {'calcs': ['lastNotNull', 'max'], 'displayMode': 'table', 'placement': 'bottom',
                          'showLegend': True},
               'tooltip': {'mode': 'multi', 'sort': 'desc'}}
    return panel('timeseries', title, query, size, options=options, custom=custom, color='palette-classic',
                 least=least, **more)


def columns_over_time(title, query, size, **more):
    made = lines(title, query, size, stacked=True, **more)
    made['fieldConfig']['defaults']['custom'].update(drawStyle='bars', fillOpacity=80)
    return made


def heatmap(title, query, size, **more):
    """a histogram over time, of a query in Prometheus's format heatmap"""
    options = {'calculate': False, 'cellGap': 1, 'cellValues': {}, 'showValue': 'never',
               'color': {'mode': 'scheme', 'scheme': 'Blues', 'steps': 64, 'exponent': 0.5, 'fill': 'dark-orange',
                         'reverse': False, 'scale': 'exponential'},
               'exemplars': {'color': 'rgba(255,0,255,0.7)'}, 'filterValues': {'le': 1e-9},
               'legend': {'show': True}, 'rowsFrame': {'layout': 'auto'}, 'tooltip': {'show': True, 'yHistogram': False},
               'yAxis': {'axisPlacement': 'left', 'reverse': False, 'unit': 's'}}
    return panel('heatmap', title, query, size, options=options,
                 custom={'hideFrom': {'legend': False, 'tooltip': False, 'viz': False},
                         'scaleDistribution': {'type': 'linear'}}, **more)


def timeline(title, query, size, mappings, **more):
    """states over time"""
    options = {'alignValue': 'left', 'mergeValues': True, 'rowHeight': 0.8, 'showValue': 'auto',
               'legend': {'calcs': [], 'displayMode': 'list', 'placement': 'bottom', 'showLegend': True},
               'tooltip': {'mode': 'single', 'sort': 'none'}}
    return panel('state-timeline', title, query, size, options=options, mappings=mappings, unit='none',
                 custom={'fillOpacity': 70, 'lineWidth': 0}, color='thresholds', **more)


def row(title):
    return {'type': 'row', 'title': title, 'size': (WIDTH, 1), 'collapsed': False, 'panels': []}


# -- variables -------------------------------------------------------------------

def source_variable(kind, name):
    """Which data source.  The provisioned one's name is its uid, since Grafana 9 keeps names here and later ones uids."""
    return {'type': 'datasource', 'name': 'datasource', 'label': 'Data source', 'query': kind, 'regex': '',
            'current': {'selected': False, 'text': name, 'value': name}, 'hide': 0, 'includeAll': False,
            'multi': False, 'options': [], 'refresh': 1, 'skipUrlSync': False}


def query_variable(name, label, query, source, several=False):
    made = {'type': 'query', 'name': name, 'label': label, 'datasource': source, 'definition': query,
            'query': query, 'refresh': 2, 'regex': '', 'sort': 1, 'hide': 0, 'includeAll': several,
            'multi': several, 'options': [], 'skipUrlSync': False,
            'current': {'selected': True, 'text': ['All'], 'value': ['$__all']} if several else {'selected': False, 'text': '', 'value': ''}}
    if source is PROMETHEUS:
        made['query'] = {'query': query, 'refId': 'variable'}
    return made


# -- dashboards ------------------------------------------------------------------

def place(panels):
    """Fill the grid from left to right; a panel that finds no room begins below all that is there."""
    placed = []
    x = top = bottom = 0
    for number, made in enumerate(panels, 1):
        made = dict(made)
        w, h = made.pop('size')
        if x + w > WIDTH:
            x, top = 0, bottom
        placed.append({'id': number, 'gridPos': {'x': x, 'y': top, 'w': w, 'h': h}, **made})
        x, bottom = x + w, max(bottom, top + h)
    return placed


def board(uid, title, about, variables, panels, since='now-15m', refresh='5s', annotations=()):
    links = [{'type': 'dashboards', 'title': 'Weir', 'tags': ['weir'], 'asDropdown': False, 'icon': 'external link',
              'includeVars': False, 'keepTime': True, 'targetBlank': False, 'tooltip': '', 'url': ''}]
    return {'uid': uid, 'title': title, 'description': about, 'tags': ['weir'], 'schemaVersion': 37, 'version': 1,
            'id': None, 'editable': True, 'graphTooltip': 1, 'fiscalYearStartMonth': 0, 'weekStart': '',
            'timezone': 'browser', 'refresh': refresh, 'time': {'from': since, 'to': 'now'}, 'timepicker': {},
            'links': links, 'annotations': {'list': list(annotations)},
            'templating': {'list': variables}, 'panels': place(panels)}
