import { definition } from './definition.ts';

// The forms of all node sets share this module and its stylesheet.
const style = document.createElement('link');
style.rel = 'stylesheet';
style.href = new URL('./form.css', import.meta.url).href;
document.head.append(style);

Object.assign(window, { dbackup: { definition } });
