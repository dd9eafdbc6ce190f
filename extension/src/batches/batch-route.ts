/** The page among OHIF's own, behind its login, and the way to it from the study list's settings. */
import { readSiteStrings } from '../strings/site-strings.ts';
import { translate } from '../strings/translate.ts';
import { BATCH_PAGE_ELEMENT } from './batch-page.ts';

const PATH = 'stain-batches';

interface MenuItem {
  readonly id: string;
  readonly label: string;
  readonly onClick: () => void;
}

/** An object that OHIF's React 18 takes for an element: its React is not given to plugins. */
type ReactElement = object;

/**
 * Customizations of OHIF, beside those of others.
 * @param base where OHIF's pages are, with a slash at its end
 * @param onMounted called with the element when the page is shown, and with null when it is left
 */
export function batchCustomizations(base: string, onMounted: (element: HTMLElement | null) => void): object {
  const route = {
    path: `/${PATH}`,
    private: true,
    children: (): ReactElement => {
      readSiteStrings();
      return {
        $$typeof: Symbol.for('react.element'),
        type: BATCH_PAGE_ELEMENT,
        key: null,
        ref: onMounted,
        props: {},
        _owner: null,
        _store: {},
      };
    },
  };
  type Items = (items: readonly MenuItem[]) => readonly MenuItem[];
  return {
    'routes.customRoutes': {
      $apply: (others?: { readonly routes?: readonly object[] }) => ({
        ...others,
        routes: [...(others?.routes ?? []), route],
      }),
    },
    'workList.settingsMenuItems': {
      $apply:
        (others?: Items): Items =>
        (items) => {
          readSiteStrings();
          const own = {
            id: PATH,
            label: translate('batch.menu'),
            onClick: () => location.assign(base + PATH),
          };
          return [own, ...(others ? others(items) : items)];
        },
    },
  };
}
