/** CSV's parser, for browsers; see `#csv` in package.json. */
export { parse } from 'csv-parse/browser/esm/sync';
