/** CSV's parser, for hosts with Node's `Buffer`; see `#csv` in package.json. */
export { parse } from 'csv-parse/sync';
