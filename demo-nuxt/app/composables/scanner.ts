/** What reads QR codes from a camera: loaded once, when it is asked for first. */
export const loadScanner = () => import('qr/dom.js')
