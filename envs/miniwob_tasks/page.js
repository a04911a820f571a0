// Runs in each page before its own scripts: a clock that only commands move, and what the agent
// does and sees. Math.random stays the page's own, seeded by the task; before that it is fixed.
(() => {
  'use strict';
  if (window.lmgym) return;
  const START = Date.UTC(2024, 0, 1, 12);
  const MOST_CALLS = 100000;
  const RealDate = Date;

  // ---- the clock: shared with frames, so that it moves in all of them at once ----

  const frameOf = () => {
    try {
      return window === window.top ? null : window.top.lmgym;
    } catch {
      return null;
    }
  };
  const clock = frameOf()?.clock || { now: 0, next: 1, timers: new Map() };

  const add = (delay, repeats, call) => {
    const id = clock.next++;
    const wait = Math.max(1, Number(delay) || 0);
    clock.timers.set(id, { id, due: clock.now + wait, every: repeats ? wait : 0, call });
    return id;
  };
  const remove = (id) => void clock.timers.delete(Number(id));
  const callable = (handler, rest) =>
    typeof handler === 'function' ? () => handler(...rest) : () => window.eval(String(handler));
  const firstDue = (end) => {
    let first = null;
    for (const timer of clock.timers.values()) {
      if (timer.due <= end && (!first || timer.due < first.due)) first = timer;
    }
    return first;
  };
  const tick = (milliseconds) => {
    const end = clock.now + milliseconds;
    for (let calls = 0; calls < MOST_CALLS; calls++) {
      const timer = firstDue(end);
      if (!timer) break;
      clock.now = timer.due;
      clock.timers.delete(timer.id);
      if (timer.every) {
        clock.timers.set(timer.id, { ...timer, due: timer.due + timer.every });
      }
      try {
        timer.call();
      } catch (error) {
        console.error(error);
      }
    }
    clock.now = end;
  };

  window.setTimeout = (handler, delay, ...rest) => add(delay, false, callable(handler, rest));
  window.setInterval = (handler, delay, ...rest) => add(delay, true, callable(handler, rest));
  window.clearTimeout = window.clearInterval = window.cancelAnimationFrame = remove;
  window.requestAnimationFrame = (handler) =>
    add(16 - (clock.now % 16), false, () => handler(clock.now));
  window.Date = new Proxy(RealDate, {
    construct: (target, given, self) =>
      Reflect.construct(target, given.length ? given : [START + clock.now], self),
    apply: (target) => new target(START + clock.now).toString(),
    get: (target, key) => (key === 'now' ? () => START + clock.now : target[key]),
  });
  RealDate.prototype.constructor = window.Date;
  performance.now = () => clock.now;

  let seed = 1;
  Math.random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const still = new CSSStyleSheet();
  still.replaceSync('*, ::before, ::after { transition: none !important; animation: none !important; }');
  document.adoptedStyleSheets = [still];

  // ---- what the agent sees ----

  const inner = () => document.getElementById('wrap')?.contentWindow?.$miniwob || core;
  const elementOf = (ref) => inner().previousDOMInfo[ref];
  const squeezed = (text) => (text || '').replace(/\s+/g, ' ').trim();
  const isKind = (element, name) => element instanceof element.ownerDocument.defaultView[name];

  const facts = (element) => {
    const told = {};
    const say = (key, value) => {
      if (value) told[key] = value;
    };
    say('role', element.getAttribute('role'));
    say('label', squeezed(element.getAttribute('aria-label')));
    say('disabled', element.disabled === true);
    if (element.labels?.length && !told.label) {
      say('label', squeezed([...element.labels].map((label) => label.textContent).join(' ')));
    }
    for (const key of ['alt', 'title', 'placeholder']) say(key, squeezed(element.getAttribute(key)));
    if (isKind(element, 'HTMLSelectElement')) {
      told.options = [...element.options].map((option) => squeezed(option.text));
      told.chosen = [...element.selectedOptions].map((option) => option.index);
    }
    if (isKind(element, 'HTMLOptionElement')) say('selected', element.selected);
    if (isKind(element, 'SVGElement')) say('fill', element.getAttribute('fill'));
    say('editable', element.isContentEditable);
    return told;
  };

  // An image has no size before it is loaded, and what has no size is not seen.
  const isLoaded = () => {
    const inFrame = document.getElementById('wrap')?.contentDocument;
    return [document, inFrame].every((page) => [...(page?.images || [])].every((i) => i.complete));
  };

  const observe = () => {
    const said = core.getUtterance();
    const seen = {
      done: WOB_DONE_GLOBAL,
      raw_reward: WOB_RAW_REWARD_GLOBAL,
      ready: WOB_DONE_GLOBAL || (WOB_TASK_READY && isLoaded()),
      utterance: squeezed(typeof said === 'string' ? said : said.utterance),
      dom: null,
      facts: {},
    };
    if (seen.done || !seen.ready) return seen;
    seen.dom = inner().getDOMInfo();
    for (const [ref, element] of Object.entries(inner().previousDOMInfo)) {
      const told = facts(element);
      if (Object.keys(told).length) seen.facts[ref] = told;
    }
    return seen;
  };

  // ---- what the agent does ----

  const tell = (element, ...events) => {
    for (const name of events) element.dispatchEvent(new Event(name, { bubbles: true }));
  };
  const choose = (element, index, selected = true) => {
    if (element.multiple) element.options[index].selected = selected;
    else element.selectedIndex = index;
    tell(element, 'input', 'change');
    return '';
  };
  const setValue = (element, value) => {
    element.value = value;
    if (element.value !== value) return `the field does not take this value`;
    tell(element, 'input', 'change');
    return '';
  };
  const focus = (element) => {
    element.focus();
    return '';
  };
  const selectAll = (element) => {
    element.focus();
    if (element.select) element.select();
    else element.ownerDocument.getSelection().selectAllChildren(element);
    return '';
  };
  // A pointer comes before a click: menus open, and choose, what it rests on.
  let rested = null;
  const point = (element, ...names) => {
    const box = element.getBoundingClientRect();
    const place = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
    const also = { bubbles: true, cancelable: true, view: element.ownerDocument.defaultView };
    for (const name of names) {
      element.dispatchEvent(new MouseEvent(name, { ...place, ...also, relatedTarget: rested }));
    }
  };
  const rest = (element) => {
    if (rested?.isConnected && rested !== element) {
      rested.dispatchEvent(new MouseEvent('mouseout', { bubbles: true, relatedTarget: element }));
    }
    point(element, 'mouseover', 'mousemove');
    rested = element;
  };
  const VERBS = {
    click: (element, ref) => {
      if (isKind(element, 'HTMLOptionElement')) {
        return choose(element.closest('select'), element.index, !element.selected);
      }
      rest(element);
      if (!isKind(element, 'SVGElement')) point(element, 'mousedown', 'mouseup');
      const done = inner().elementClick(ref);
      return done === true ? '' : String(done);
    },
    choose: (element, ref, index) => choose(element, index),
    set: (element, ref, value) => setValue(element, value),
    focus,
    select: selectAll,
  };

  const act = (verb, ref, value) => {
    const element = elementOf(ref);
    if (!element || !element.isConnected) return 'the element is no longer on the page';
    return VERBS[verb](element, ref, value);
  };

  const begin = (seed, mode) => {
    Math.seedrandom(seed);
    core.setDataMode(mode);
    core.startEpisodeReal();
    // Neither the episode's timer nor the time that has passed plays a role from here on.
    remove(core.EP_TIMER);
    core.EP_TIMER = 0;
    core.clearTimer();
  };

  window.lmgym = {
    clock,
    begin: (seed, mode, milliseconds) => {
      begin(seed, mode);
      tick(milliseconds);
      return observe();
    },
    act: (verb, ref, value) => act(verb, ref, value),
    step: (verb, ref, value, milliseconds) => {
      const error = verb ? act(verb, ref, value) : '';
      tick(milliseconds);
      return { ...observe(), error };
    },
    pass: (milliseconds) => {
      tick(milliseconds);
      return observe();
    },
  };
})();
