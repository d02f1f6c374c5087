/**
 * The part of Node-RED's editor and of its jQuery that the forms use. Narrower than the published types,
 * which know neither the widgets' items nor the private message catalogues.
 */
export interface EditorRed {
  /** A text of the editor's own catalogue. */
  _(key: string): string;
  notify(text: string, type: 'success' | 'warning' | 'error'): void;
  readonly nodes: {
    node(id: string): EditorNode | null | undefined;
    getType(type: string): NodeTypeDefinition | undefined;
    eachConfig(visit: (node: EditorNode) => void): void;
    subflow(id: string): { readonly env?: readonly SubflowVariable[] } | null | undefined;
  };
  readonly workspaces: { active(): string };
  readonly editor: {
    /** @param id of a config node, or `_ADD_` for a new one */
    editConfig(property: string, type: string, id: string, prefix: string, user: EditorNode): void;
  };
  readonly utils: { getNodeLabel(node: EditorNode, fallback?: string): string };
  readonly popover: {
    tooltip(target: object, content: string): Tooltip;
    menu(options: { readonly options: readonly MenuItem[] }): {
      show(place: {
        readonly target: object;
        readonly align: 'left' | 'right';
        readonly dispose: true;
      }): void;
    };
  };
}

/** A variable of a subflow; one of the kind `conf-types` stands for a config node. */
export interface SubflowVariable {
  readonly name: string;
  readonly type: string;
  readonly ui?: { readonly type?: string };
}

export interface MenuItem {
  readonly label: string;
  readonly onselect: () => void;
}

/** A text that shows when the mouse rests on an element. */
export interface Tooltip {
  setContent(content: string): void;
  delete(): void;
}

/** A node on the canvas, or a config node. */
export interface EditorNode {
  readonly id: string;
  readonly type: string;
  /** Tab or subflow that it is on; none for a global config node. */
  readonly z?: string;
  /** Disabled. */
  readonly d?: boolean;
  /** Not as it was deployed. */
  readonly changed?: boolean;
  readonly valid?: boolean | null;
  /** Known once its form was open; secrets themselves never come back from the server. */
  readonly credentials?: Readonly<Record<string, unknown>>;
  [property: string]: unknown;
}

/** What `RED.nodes.registerType` takes. */
export interface NodeTypeDefinition {
  readonly category: string;
  readonly color?: string;
  readonly icon?: string;
  readonly inputs?: number;
  readonly outputs?: number;
  readonly align?: 'left' | 'right';
  readonly defaults: Readonly<Record<string, PropertyDefinition>>;
  readonly credentials?: Readonly<Record<string, PropertyDefinition>>;
  readonly paletteLabel?: (this: unknown) => string;
  readonly label: (this: EditorNode) => string;
  readonly labelStyle?: (this: EditorNode) => string;
  /** By the place of the output, from 0. */
  readonly outputLabels?: (this: unknown, index: number) => string;
  /** Beside the node on the canvas. */
  readonly button?: { enabled(this: EditorNode): boolean; onclick(this: EditorNode): void };
  oneditprepare(this: EditorNode): void;
  oneditsave(this: EditorNode): void;
  oneditcancel(this: EditorNode): void;
  oneditdelete?(this: EditorNode): void;
  /** Looks a text up in the node set's catalogue; put there by Node-RED. */
  _?(key: string, values?: Readonly<Record<string, string | number>>): string;
}

export interface PropertyDefinition {
  readonly value?: unknown;
  /** Type of the config node that the property refers to, or `password` for a credential. */
  readonly type?: string;
  readonly required?: boolean;
  /** True, or why not. Must take two arguments, else Node-RED ignores the reason. */
  readonly validate?: (this: EditorNode, value: unknown, options: unknown) => true | string;
}

/** An element wrapped by jQuery, as far as Node-RED's list widget goes. */
interface Wrapped {
  editableList(options: ListOptions): void;
  editableList(action: 'addItem', value: ListItem): void;
  editableList(action: 'removeItem', item: ListItem): void;
  /** Handlers of jQuery, such as Node-RED's own, which events of the browser do not replace. */
  on(event: 'click', handler: (event: { preventDefault(): void }) => void): void;
  off(event: 'click'): void;
}

export interface ListItem {
  readonly value: string;
}

export interface ListOptions {
  readonly addButton: string;
  readonly removable: boolean;
  readonly sortable: boolean;
  readonly height: 'auto';
  addItem(container: ArrayLike<HTMLElement>, index: number, item: Partial<ListItem>): void;
  removeItem(): void;
}

interface Ajax {
  ajax(request: {
    readonly url: string;
    readonly type: 'POST';
    readonly contentType: 'application/json';
    readonly data: string;
  }): PromiseLike<unknown>;
}

declare const RED: EditorRed;
declare const $: Ajax & ((element: Element) => Wrapped);

export const red = RED;
export const jQuery = $;
